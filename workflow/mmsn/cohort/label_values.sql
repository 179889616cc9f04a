-- The labels of each study that has any, in the order of `label_rows`: `placed.label_row` numbers these rows.
SELECT * EXCLUDE (study_id)
FROM labels
