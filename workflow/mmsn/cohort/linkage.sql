-- Which admission, and whether an ICU stay, covers a study, by both linkage rules at once: one join finds what comes
-- near, and joining is what costs. So flow.json can tell for little how many images each rule moves.
--
-- `day`, the released rule: whole days are compared, so a study on the day of admission or discharge is covered at any
-- hour. Where several admissions cover the day, THE LAST IN FILE ORDER WINS: the released loop overwrites its answer.
-- `time`, the better rule: the study's date and time lie between the timestamps. Time in the emergency department counts
-- to the admission it led to: that is where many of its radiographs are taken. Of several covering admissions the latest
-- to start wins (then the latest to end, then the larger id), so the order of the file does not matter.
-- A stay without an end covers the day, or the moment, it began: later ones cannot be known.
--
-- Images go by number, which is cheaper to group and join than the 44 letters of a dicom_id. `admission_near` stays for
-- the view `covering_admission`, of EHR variables that need to know which admission it is.
CREATE TABLE admission_near AS
SELECT
    images.rowid AS image,
    stay.* EXCLUDE (subject_id, admitted_on),
    images.study_date >= stay.admitted_on AS on_the_day,
    coalesce(images.study_time BETWEEN stay.starts AND stay.ends, FALSE) AS at_the_time
FROM images
JOIN (
    SELECT
        subject_id,
        hadm_id,
        hospital_expire_flag,
        rowid AS file_row,
        CAST(admittime AS DATE) AS admitted_on,
        least(admittime, edregtime) AS starts,
        coalesce(dischtime, admittime) AS ends
    FROM admissions
) AS stay
    ON stay.subject_id = images.subject_id
    AND images.study_date BETWEEN CAST(stay.starts AS DATE) AND CAST(stay.ends AS DATE);

-- At most one row an image, so that a variable's join never multiplies images. `died_by_` is the hospital_expire_flag
-- that a rule finds, NULL where no admission covers the study. Putting the admissions of every image in order would
-- double the cost of this file: it is done where they ended differently.
CREATE TABLE admission_link AS
WITH ends AS (
    SELECT
        image,
        min(hospital_expire_flag) FILTER (on_the_day) AS best_by_day,
        max(hospital_expire_flag) FILTER (on_the_day) AS worst_by_day,
        min(hospital_expire_flag) FILTER (at_the_time) AS best_by_time,
        max(hospital_expire_flag) FILTER (at_the_time) AS worst_by_time,
        count(*) FILTER (on_the_day) > 1 AS several_by_day,
        count(*) FILTER (at_the_time) > 1 AS several_by_time
    FROM admission_near
    GROUP BY image
), winner AS (
    SELECT
        image,
        arg_max(hospital_expire_flag, file_row) FILTER (on_the_day) AS by_day,
        arg_max(hospital_expire_flag, row(starts, ends, hadm_id, hospital_expire_flag)) FILTER (at_the_time) AS by_time
    FROM admission_near
    SEMI JOIN (SELECT image FROM ends WHERE best_by_day < worst_by_day OR best_by_time < worst_by_time) USING (image)
    GROUP BY image
)
SELECT
    image,
    coalesce(winner.by_day, worst_by_day) AS died_by_day,
    coalesce(winner.by_time, worst_by_time) AS died_by_time,
    several_by_day,
    several_by_time,
    coalesce(best_by_day < worst_by_day, FALSE) AS order_decides
FROM ends
LEFT JOIN winner USING (image);

CREATE TABLE icu_link AS
SELECT
    images.rowid AS image,
    coalesce(bool_or(images.study_time BETWEEN icustays.intime AND coalesce(icustays.outtime, icustays.intime)), FALSE)
        AS at_the_time
FROM images
JOIN icustays
    ON icustays.subject_id = images.subject_id
    AND images.study_date
        BETWEEN CAST(icustays.intime AS DATE) AND CAST(coalesce(icustays.outtime, icustays.intime) AS DATE)
GROUP BY images.rowid;
