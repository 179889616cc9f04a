-- Last body mass index (kg/m2) of the out-patient record within the 365 days up to the study. The table has days and no
-- hours, so a value of the study's day counts even where it was measured after the radiograph.
-- MIMIC-IV has it from 2.0 on. It calls the result 'BMI (kg/m2)', some rows 'BMI'; a value is not computed from weight
-- and height, which the record often has from different years. 10 to 80 is plausible, anything else is passed over.
-- Of several on a day the last counts, as seq_num orders them.
SELECT
    images.dicom_id,
    arg_max(measured.bmi, row(measured.chartdate, measured.seq_num, measured.result_name)) AS value
FROM (
    SELECT subject_id, chartdate, seq_num, result_name, TRY_CAST(result_value AS DOUBLE) AS bmi
    FROM hosp.omr
    WHERE result_name IN ('BMI (kg/m2)', 'BMI')
) AS measured
JOIN images
    ON images.subject_id = measured.subject_id
    AND measured.chartdate BETWEEN images.study_date - 365 AND images.study_date
WHERE measured.bmi BETWEEN 10 AND 80
GROUP BY images.dicom_id
