-- The counts of NIH-14's flow.json, over every image of the table, whatever the mode leaves out.
SELECT
    (SELECT count(*) FROM entries) AS images,
    (SELECT count(DISTINCT patient) FROM entries) AS patients,
    count(*) FILTER (list = 'train_val') AS train_val,
    count(*) FILTER (list = 'test') AS test,
    count(*) FILTER (list = 'train_val' AND findings <> ['No Finding']) AS train_val_findings,
    count(*) FILTER (list = 'test' AND findings <> ['No Finding']) AS test_findings
FROM listed_entries
