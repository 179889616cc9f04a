-- The rows of images.parquet but for the EHR variables, in their order.
SELECT
    images.dicom_id,
    images.subject_id,
    images.study_id,
    images.study_time,
    -- MIMIC-CXR-JPG's layout: files/p10/p10000032/s50414267/<dicom_id>.jpg
    concat('files/p', left(CAST(images.subject_id AS VARCHAR), 2), '/p', images.subject_id, '/s', images.study_id,
        '/', images.dicom_id, '.jpg') AS path,
    placed.split,
    placed.labelled,
    label_values.* EXCLUDE (study_id)
FROM placed
JOIN images ON images.rowid = placed.image
LEFT JOIN label_values USING (study_id)
WHERE placed.reason IS NULL
ORDER BY placed.image
