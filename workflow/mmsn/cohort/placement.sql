-- Split and labels of every image, in the order of images.parquet; `kept` says whether it is in there.
SELECT
    placed.reason IS NULL AS kept,
    placed.split,
    placed.labelled,
    label_values.* EXCLUDE (study_id)
FROM placed
LEFT JOIN label_values USING (study_id)
ORDER BY placed.image
