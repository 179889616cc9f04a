-- The rows of exclusions.parquet, in the order of `images`.
SELECT images.dicom_id, placed.reason
FROM images
POSITIONAL JOIN placed
WHERE placed.reason IS NOT NULL
