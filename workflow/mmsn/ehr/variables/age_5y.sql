-- Age in 5-year bins, as the released notebook cuts it (EHR-data-extract.ipynb): bins are closed on the right, so an
-- 80-year-old is in '75-80'. The notebook leaves age 0 in no bin; here it is '<20' like every other child.
-- Ages 0 to 120 are plausible, anything else is unknown (see age.sql).
SELECT
    dicom_id,
    CASE
        WHEN years NOT BETWEEN 0 AND 120 THEN NULL
        WHEN years <= 20 THEN '<20'
        WHEN years <= 25 THEN '20-25'
        WHEN years <= 30 THEN '25-30'
        WHEN years <= 35 THEN '30-35'
        WHEN years <= 40 THEN '35-40'
        WHEN years <= 45 THEN '40-45'
        WHEN years <= 50 THEN '45-50'
        WHEN years <= 55 THEN '50-55'
        WHEN years <= 60 THEN '55-60'
        WHEN years <= 65 THEN '60-65'
        WHEN years <= 70 THEN '65-70'
        WHEN years <= 75 THEN '70-75'
        WHEN years <= 80 THEN '75-80'
        WHEN years <= 85 THEN '80-85'
        WHEN years <= 90 THEN '85-90'
        WHEN years > 90 THEN '90+'
    END AS value
FROM (
    SELECT images.dicom_id, year(images.study_date) - (patients.anchor_year - patients.anchor_age) AS years
    FROM images
    LEFT JOIN patients USING (subject_id)
)
