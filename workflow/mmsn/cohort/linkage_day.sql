-- The released rule: whole days are compared, so a study on the day of admission or discharge is covered at any hour.
-- When several admissions cover the day the released loop overwrites its answer and keeps the last in file order.
-- A stay without an end covers the day it began: later days cannot be known.
CREATE VIEW study_moment AS
SELECT rowid AS image, dicom_id, subject_id, CAST(study_date AS TIMESTAMP) AS linked_at
FROM images;

CREATE VIEW admission_span AS
SELECT
    subject_id,
    hospital_expire_flag,
    date_trunc('day', admittime) AS starts,
    date_trunc('day', coalesce(dischtime, admittime)) AS ends,
    rowid AS precedence
FROM admissions;

CREATE VIEW icu_span AS
SELECT subject_id, date_trunc('day', intime) AS starts, date_trunc('day', coalesce(outtime, intime)) AS ends
FROM icustays;
