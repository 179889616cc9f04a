-- Split and labels of each image of the cohort, in the order of images.parquet.
SELECT placed.split, placed.labelled, labels.* EXCLUDE (study_id)
FROM placed
LEFT JOIN labels USING (study_id)
WHERE placed.reason IS NULL
ORDER BY placed.image
