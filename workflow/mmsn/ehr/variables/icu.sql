-- Whether an ICU stay covers the study. `icu_cover` is built by the linkage rule of the settings (day or time) and
-- lists the covered images once, however many stays cover them.
-- Within an admission but outside the ICU is known: 'not_icu'. Outside any stay it is 'not_icu' too, as the released
-- notebook has it, or unknown where the settings' `unlinked` says so. A study that cannot be placed in time is unknown,
-- not outside the ICU.
SELECT
    study_moment.dicom_id,
    CASE
        WHEN study_moment.linked_at IS NULL THEN NULL
        WHEN icu_cover.image IS NOT NULL THEN 'icu'
        WHEN admission_cover.image IS NOT NULL OR getvariable('unlinked') = 'zero' THEN 'not_icu'
    END AS value
FROM study_moment
LEFT JOIN icu_cover ON icu_cover.image = study_moment.image
-- Admissions only matter where an unlinked image is unknown: otherwise this join is of nothing, and costs nothing.
LEFT JOIN admission_cover ON admission_cover.image = study_moment.image AND getvariable('unlinked') = 'unknown'
