-- Who and where each image of the cohort is, in the order of images.parquet: DuckDB keeps the order of a single table.
SELECT
    dicom_id,
    subject_id,
    study_id,
    study_time,
    -- MIMIC-CXR-JPG's layout: files/p10/p10000032/s50414267/<dicom_id>.jpg
    concat('files/p', left(CAST(subject_id AS VARCHAR), 2), '/p', subject_id, '/s', study_id, '/', dicom_id, '.jpg') AS path
FROM images
WHERE kept
