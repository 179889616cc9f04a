-- The metadata by patient, study and image.
CREATE OR REPLACE TABLE metadata AS
SELECT *
FROM metadata
ORDER BY subject_id, study_id, dicom_id;
