-- CheXpert's columns of images.parquet, and `reason`, which is never set: every image stays.
-- A blank label means 'not mentioned' and counts as 0; -1 means 'uncertain' and becomes what the settings say.
CREATE MACRO code_value(code) AS
    CASE
        WHEN code IS NULL THEN CAST(0 AS FLOAT)
        WHEN code = -1 THEN CAST(getvariable('uncertain_label') AS FLOAT)
        ELSE code
    END;

CREATE TABLE images AS
SELECT
    concat_ws('_', patient, study, regexp_replace(file, '[.][a-z]+$', '')) AS dicom_id,
    CAST(substr(patient, 8) AS BIGINT) AS subject_id,
    CAST(substr(patient, 8) AS BIGINT) * 1000 + CAST(substr(study, 6) AS BIGINT) AS study_id,
    CAST(NULL AS TIMESTAMP) AS study_time,
    -- CheXlocalize's tables say 'valid' as CheXpert's do, its folder is called 'val'.
    concat_ws(
        '/', CASE WHEN folder IN ('valid', 'val') THEN getvariable('valid_folder') ELSE folder END, patient, study, file
    ) AS path,
    split,
    true AS labelled,
    CASE sex WHEN 'Male' THEN 'M' WHEN 'Female' THEN 'F' END AS sex,
    age,
    CASE
        WHEN contains(file, 'lateral') THEN 'LATERAL'
        -- Frontal images that are neither: 17 in train.csv, 'LL' and 'RL'. MIMIC's LL is a lateral, so they are unknown.
        WHEN ap_pa IN ('AP', 'PA') THEN ap_pa
    END AS view,
    CAST(NULL AS VARCHAR) AS pos,
    CAST(NULL AS VARCHAR) AS mort,
    CAST(NULL AS VARCHAR) AS icu,
    CAST(NULL AS VARCHAR) AS reason,
    code_value(COLUMNS(* EXCLUDE (part, split, folder, patient, study, file, sex, age, ap_pa)))
FROM entries
ORDER BY subject_id, study_id, dicom_id
