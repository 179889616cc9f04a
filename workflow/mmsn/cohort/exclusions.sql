-- The rows of exclusions.parquet.
SELECT images.dicom_id, placed.reason
FROM placed
JOIN images ON images.rowid = placed.image
WHERE placed.reason IS NOT NULL
ORDER BY placed.image
