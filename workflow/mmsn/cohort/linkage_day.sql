-- The `day` rule of linkage.sql, as EHR variables read it.
CREATE VIEW study_moment AS
SELECT rowid AS image, dicom_id, subject_id, CAST(study_date AS TIMESTAMP) AS linked_at
FROM images;

CREATE VIEW admission_cover AS
SELECT image, died_by_day AS hospital_expire_flag
FROM admission_link
WHERE died_by_day IS NOT NULL;

CREATE VIEW covering_admission AS
SELECT image, hadm_id, file_row AS precedence
FROM admission_near
WHERE on_the_day;

CREATE VIEW icu_cover AS
SELECT image
FROM icu_link;
