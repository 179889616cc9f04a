-- Split and labels of each image of the cohort, in the order of images.parquet.
SELECT placed.split, placed.labelled, label_values.* EXCLUDE (study_id)
FROM placed
LEFT JOIN label_values USING (study_id)
WHERE placed.reason IS NULL
ORDER BY placed.image
