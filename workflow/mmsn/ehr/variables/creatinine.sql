-- Last serum creatinine (mg/dL) drawn within the 48 hours before the study. `charttime` is when the specimen was drawn,
-- so the result may have come back after the radiograph; a study without a time is unknown.
-- Item 50912 is blood creatinine of the chemistry panel (mimic-code, concepts/measurement/chemistry.sql); point-of-care
-- tests (52502) are left out, as there. 0.1 to 20 mg/dL is plausible, anything else is passed over: mimic-code drops 0
-- and below and above 150, which lets typing errors through; kidney failure without dialysis stays below 20.
-- Of two values of one moment the one entered last counts.
SELECT
    images.dicom_id,
    arg_max(labevents.valuenum, row(labevents.charttime, labevents.labevent_id)) AS value
FROM hosp.labevents
JOIN images
    ON images.subject_id = labevents.subject_id
    AND labevents.charttime BETWEEN images.study_time - INTERVAL 48 HOURS AND images.study_time
WHERE labevents.itemid = 50912 AND labevents.valuenum BETWEEN 0.1 AND 20
GROUP BY images.dicom_id
