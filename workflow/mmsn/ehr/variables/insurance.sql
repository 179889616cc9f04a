-- Insurance of the admission that covers the study by the linkage rule of the settings, else of the patient's last
-- admission before it. An admission that states none is passed over; without any the value is unknown.
-- MIMIC-IV 3.x tells 'Private' and 'No charge' apart; 1.0 and 2.x call both 'Other', and so does this variable.
WITH stated AS (
    SELECT
        CAST(subject_id AS BIGINT) AS subject_id,
        CAST(hadm_id AS BIGINT) AS hadm_id,
        CAST(admittime AS TIMESTAMP) AS admittime,
        CASE WHEN insurance IN ('Medicare', 'Medicaid') THEN insurance ELSE 'Other' END AS insurance
    FROM raw_admissions
    WHERE insurance IS NOT NULL
), covering AS (
    SELECT covering_admission.image, arg_max(stated.insurance, covering_admission.precedence) AS insurance
    FROM covering_admission
    JOIN stated USING (hadm_id)
    GROUP BY covering_admission.image
), earlier AS (
    SELECT study_moment.image, arg_max(stated.insurance, row(stated.admittime, stated.hadm_id)) AS insurance
    FROM study_moment
    JOIN stated ON stated.subject_id = study_moment.subject_id AND stated.admittime <= study_moment.linked_at
    GROUP BY study_moment.image
)
SELECT study_moment.dicom_id, coalesce(covering.insurance, earlier.insurance) AS value
FROM study_moment
LEFT JOIN covering USING (image)
LEFT JOIN earlier USING (image)
