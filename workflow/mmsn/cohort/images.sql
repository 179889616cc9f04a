-- The images, sorted once: from here on `rowid` numbers an image, and images.parquet keeps this order.
CREATE TABLE images AS
SELECT
    dicom_id,
    subject_id,
    study_id,
    study_date,
    -- StudyTime is HHMMSS.ffffff, here in millionths. A clock that no day has (hour 24 and above, minute or second 60
    -- and above) is unknown, not an error: only the `time` linkage needs it.
    CASE
        WHEN study_clock // 10000000000 < 24
            AND study_clock // 100000000 % 100 < 60
            AND study_clock // 1000000 % 100 < 60
            THEN CAST(study_date AS TIMESTAMP)
                + to_hours(study_clock // 10000000000)
                + to_minutes(study_clock // 100000000 % 100)
                + to_microseconds(study_clock % 100000000)
    END AS study_time,
    view_position,
    orientation
FROM metadata
ORDER BY subject_id, study_id, dicom_id;

DROP TABLE metadata;

-- MIMIC-IV holds six patients for one with radiographs; the others would only slow the joins down.
CREATE OR REPLACE TABLE patients AS
SELECT patients.* EXCLUDE (fault)
FROM patients
SEMI JOIN images USING (subject_id);

-- An image leaves the cohort for one reason: first an unknown sex (the patient is absent from MIMIC-IV), then a view that
-- the settings do not keep; a missing view stays and is imputed later.
CREATE MACRO reason_to_leave(gender, view_position) AS
    CASE
        WHEN gender IS NULL OR gender NOT IN ('M', 'F') THEN 'sex unknown'
        WHEN NOT list_contains(getvariable('views'), view_position) THEN 'view not kept'
    END;
