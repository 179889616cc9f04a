-- MIMIC-CXR-JPG's own split, read through its images: a patient in two splits has two rows here, which stops the run,
-- and an image that the file lacks leaves its patient a row without a split, which does so too.
CREATE TABLE patient_split AS
SELECT DISTINCT images.subject_id, split.split
FROM images
LEFT JOIN split USING (dicom_id);

-- Where each patient's rows stand in the file, whose header is row 1: read only to report a fault.
CREATE VIEW listed AS
SELECT images.subject_id, split.split, split.rowid + 2 AS row
FROM split
JOIN images USING (dicom_id);
