-- Every image with its place in the cohort, in the order of `images`: the two can be read side by side.
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
    label_rows.rowid AS label_row,
    label_row IS NOT NULL AS labelled,
    reason_to_leave(patients.gender, images.view_position) AS reason
FROM images
LEFT JOIN patients USING (subject_id)
LEFT JOIN patient_split USING (subject_id)
LEFT JOIN label_rows USING (study_id)
ORDER BY image;
