-- In-hospital mortality of the admission that covers the study. `admission_cover` is built by the linkage rule of the
-- settings (day or time) and has at most one admission an image, so this statement serves both rules.
-- No covering admission means no in-hospital death is known (out-patients, emergency visits): 'alive', as the released
-- notebook has it, or unknown where the settings' `unlinked` says so. A study that cannot be placed in time is unknown,
-- not alive.
SELECT
    study_moment.dicom_id,
    CASE
        WHEN study_moment.linked_at IS NULL THEN NULL
        WHEN admission_cover.hospital_expire_flag = 1 THEN 'died'
        WHEN admission_cover.image IS NOT NULL OR getvariable('unlinked') = 'zero' THEN 'alive'
    END AS value
FROM study_moment
LEFT JOIN admission_cover USING (image)
