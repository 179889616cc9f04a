-- Every image's place in the cohort, in the order of `images`: the two are read side by side. What a patient gives is
-- looked up once, for its six images or so.
CREATE TABLE placed AS
WITH patient AS (
    SELECT patient_split.subject_id, patient_split.split, patients.gender
    FROM patient_split
    LEFT JOIN patients USING (subject_id)
)
SELECT
    images.rowid AS image,
    images.subject_id,
    images.study_id,
    CASE WHEN patient.gender IN ('M', 'F') THEN patient.gender END AS sex,
    patient.split,
    label_rows.rowid AS label_row,
    reason_to_leave(patient.gender, images.view_position) AS reason
FROM images
LEFT JOIN patient USING (subject_id)
LEFT JOIN label_rows USING (study_id);
