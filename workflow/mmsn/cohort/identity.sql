-- Who and where each image of the cohort is, in the order of images.parquet.
SELECT
    images.dicom_id,
    images.subject_id,
    images.study_id,
    images.study_time,
    -- MIMIC-CXR-JPG's layout: files/p10/p10000032/s50414267/<dicom_id>.jpg
    concat(
        'files/p', left(CAST(images.subject_id AS VARCHAR), 2), '/p', images.subject_id,
        '/s', images.study_id, '/', images.dicom_id, '.jpg'
    ) AS path
FROM images
POSITIONAL JOIN placed
WHERE placed.reason IS NULL
