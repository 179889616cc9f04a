-- The better rule: the study's date and time lie between the timestamps. Time in the emergency department counts to the
-- admission it led to: that is where many of its radiographs are taken. Of several covering admissions the latest to
-- start wins (then the latest to end, then the larger id), so the order of the file does not matter.
-- A stay without an end covers the moment it began: later ones cannot be known.
CREATE VIEW study_moment AS
SELECT rowid AS image, dicom_id, subject_id, study_time AS linked_at
FROM images;

CREATE VIEW admission_span AS
SELECT
    *,
    row_number() OVER (ORDER BY starts, ends, hadm_id, hospital_expire_flag) AS precedence
FROM (
    SELECT
        subject_id,
        hadm_id,
        hospital_expire_flag,
        CASE WHEN edregtime < admittime THEN edregtime ELSE admittime END AS starts,
        coalesce(dischtime, admittime) AS ends
    FROM admissions
);

CREATE VIEW icu_span AS
SELECT subject_id, intime AS starts, coalesce(outtime, intime) AS ends
FROM icustays;
