-- Split and labels of each image of the cohort, in the order of images.parquet.
SELECT split, label_row IS NOT NULL AS labelled, label_row
FROM placed
WHERE reason IS NULL
