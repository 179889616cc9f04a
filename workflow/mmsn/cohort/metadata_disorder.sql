-- How many rows of the metadata do not come after the row before them by patient, study and image.
SELECT count(*) AS rows
FROM (
    SELECT
        subject_id,
        study_id,
        dicom_id,
        lag(subject_id) OVER () AS subject_before,
        lag(study_id) OVER () AS study_before,
        lag(dicom_id) OVER () AS dicom_before
    FROM metadata
)
WHERE subject_id < subject_before
    OR subject_id = subject_before AND study_id < study_before
    OR subject_id = subject_before AND study_id = study_before AND dicom_id < dicom_before
