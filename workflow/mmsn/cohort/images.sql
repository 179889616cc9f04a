-- The images: the table `metadata` with a time in place of the clock, in its order. From here on `rowid` numbers an
-- image, and images.parquet keeps this order. To alter one column takes a third of the time of a new table.
ALTER TABLE metadata RENAME TO images;

ALTER TABLE images ALTER study_clock SET DATA TYPE TIMESTAMP USING (
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
    END
);

ALTER TABLE images RENAME study_clock TO study_time;

ALTER TABLE images DROP fault;
