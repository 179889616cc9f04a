-- The columns of images.parquet but the labels, and `reason`. The sort numbers the images: `rowid` follows it.
SELECT
    replace(listed_entries.name, '.png', '') AS dicom_id,
    listed_entries.patient AS subject_id,
    listed_entries.study AS study_id,
    CAST(NULL AS TIMESTAMP) AS study_time,
    concat(coalesce(on_disk.folder, 'images'), '/', listed_entries.name) AS path,
    CASE
        WHEN listed_entries.list = 'test' THEN 'test'
        WHEN validating.subject_id IS NOT NULL THEN 'validate'
        ELSE 'train'
    END AS split,
    true AS labelled,
    listed_entries.sex,
    listed_entries.age,
    listed_entries.view,
    CAST(NULL AS VARCHAR) AS pos,
    CAST(NULL AS VARCHAR) AS mort,
    CAST(NULL AS VARCHAR) AS icu,
    listed_entries.reason,
    listed_entries.findings
FROM listed_entries
LEFT JOIN validating ON validating.subject_id = listed_entries.patient
LEFT JOIN on_disk USING (name)
ORDER BY subject_id, study_id, dicom_id
