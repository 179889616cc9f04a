-- Last haemoglobin (g/dL) drawn within the 48 hours before the study; the window and ties as in creatinine.sql.
-- Item 51222 is the laboratory's blood count (mimic-code, concepts/measurement/complete_blood_count.sql). Blood gas
-- haemoglobin (50811) is left out: another method, and only of the very ill. 1 to 25 g/dL is plausible, anything else
-- is passed over; mimic-code drops 0 and below alone.
SELECT
    images.dicom_id,
    arg_max(labevents.valuenum, row(labevents.charttime, labevents.labevent_id)) AS value
FROM hosp.labevents
JOIN images
    ON images.subject_id = labevents.subject_id
    AND labevents.charttime BETWEEN images.study_time - INTERVAL 48 HOURS AND images.study_time
WHERE labevents.itemid = 51222 AND labevents.valuenum BETWEEN 1 AND 25
GROUP BY images.dicom_id
