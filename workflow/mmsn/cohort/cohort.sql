-- Every image with its place in the cohort. An image leaves for one reason: first an unknown sex (the patient is absent
-- from MIMIC-IV), then a view that the settings do not keep; a missing view stays and is imputed later.
CREATE TABLE placed AS
SELECT
    images.rowid AS image,
    images.subject_id,
    images.study_id,
    images.view_position,
    images.orientation IS NULL AS no_orientation,
    images.study_date IS NULL AS no_date,
    images.study_time IS NULL AS no_time,
    CASE WHEN patients.gender IN ('M', 'F') THEN patients.gender END AS sex,
    patient_split.split,
    labels.study_id IS NOT NULL AS labelled,
    CASE
        WHEN sex IS NULL THEN 'sex unknown'
        WHEN NOT list_contains(getvariable('views'), images.view_position) THEN 'view not kept'
    END AS reason
FROM images
LEFT JOIN patients USING (subject_id)
LEFT JOIN patient_split USING (subject_id)
LEFT JOIN labels USING (study_id);

UPDATE images
SET kept = FALSE
FROM placed
WHERE images.rowid = placed.image AND placed.reason IS NOT NULL;
