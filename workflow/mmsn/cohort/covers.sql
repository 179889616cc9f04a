-- Which admission, and whether an ICU stay, covers a study, by the linkage rule chosen: at most one row an image, so
-- that a variable's join never multiplies images. Images go by number here (`study_moment.image`), which is cheaper to
-- group and join than the 44 letters of a dicom_id.
CREATE TABLE admission_cover AS
SELECT
    study_moment.image,
    arg_max(admission_span.hospital_expire_flag, admission_span.precedence) AS hospital_expire_flag
FROM study_moment
JOIN admission_span
    ON admission_span.subject_id = study_moment.subject_id
    AND study_moment.linked_at BETWEEN admission_span.starts AND admission_span.ends
GROUP BY study_moment.image;

CREATE TABLE icu_cover AS
SELECT DISTINCT study_moment.image
FROM study_moment
JOIN icu_span
    ON icu_span.subject_id = study_moment.subject_id
    AND study_moment.linked_at BETWEEN icu_span.starts AND icu_span.ends;
