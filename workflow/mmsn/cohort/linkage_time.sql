-- The `time` rule of linkage.sql, as EHR variables read it.
CREATE VIEW study_moment AS
SELECT rowid AS image, dicom_id, subject_id, study_time AS linked_at
FROM images;

CREATE VIEW admission_cover AS
SELECT image, died_by_time AS hospital_expire_flag
FROM admission_link
WHERE died_by_time IS NOT NULL;

CREATE VIEW covering_admission AS
SELECT image, hadm_id, row(starts, ends, hadm_id) AS precedence
FROM admission_near
WHERE at_the_time;

CREATE VIEW icu_cover AS
SELECT image
FROM icu_link
WHERE at_the_time;
