-- Every image's place in the cohort, in the order of `images`: the two are read side by side.
CREATE TABLE placed AS
SELECT
    images.rowid AS image,
    images.subject_id,
    images.study_id,
    CASE WHEN patients.gender IN ('M', 'F') THEN patients.gender END AS sex,
    patient_split.split,
    label_rows.rowid AS label_row,
    reason_to_leave(patients.gender, images.view_position) AS reason
FROM images
LEFT JOIN patients USING (subject_id)
LEFT JOIN patient_split USING (subject_id)
LEFT JOIN label_rows USING (study_id)
ORDER BY image;
