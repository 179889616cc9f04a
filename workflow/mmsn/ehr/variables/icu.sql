-- Whether an ICU stay covers the study. `icu_cover` is built by the linkage rule of the settings (day or time) and
-- lists the covered images once, however many stays cover them.
-- A study that cannot be placed in time is unknown, not outside the ICU.
SELECT
    study_moment.dicom_id,
    CASE
        WHEN study_moment.linked_at IS NULL THEN NULL
        WHEN icu_cover.image IS NOT NULL THEN 'icu'
        ELSE 'not_icu'
    END AS value
FROM study_moment
LEFT JOIN icu_cover ON icu_cover.image = study_moment.image
