-- What a stratified split shares out evenly: how many images of the cohort each patient has, and how many with each label,
-- in the order of the table `patient_split`. What an uncertain label becomes counts as it will in training.
WITH studies AS (
    SELECT subject_id, study_id, CAST(count(*) AS DOUBLE) AS images
    FROM images
    LEFT JOIN patients USING (subject_id)
    WHERE reason_to_leave(patients.gender, images.view_position) IS NULL
    GROUP BY subject_id, study_id
)
SELECT
    any_value(patient_split.subject_id) AS subject_id,
    any_value(patient_split.split) AS split,
    coalesce(sum(studies.images), 0) AS images,
    -- A label is 1, 0 or NULL.
    coalesce(sum(COLUMNS(labels.* EXCLUDE (study_id)) * studies.images), 0)
FROM patient_split
LEFT JOIN studies USING (subject_id)
LEFT JOIN labels USING (study_id)
GROUP BY patient_split.rowid
ORDER BY patient_split.rowid
