-- The images, in the order of `metadata`: from here on `rowid` numbers an image, and images.parquet keeps this order.
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
FROM metadata;

DROP TABLE metadata;
