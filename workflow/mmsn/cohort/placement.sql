-- Split and labels of each image of the cohort, in the order of images.parquet.
SELECT split, labelled, label_row
FROM placed
WHERE reason IS NULL
