-- Patients in the order of a seeded hash, cut at the shares asked for. A hash, not a random generator: the split then
-- depends on the seed and the set of patients alone, not on row order, threads or the database's version. The order
-- stays, so that `rowid` numbers the patients of the table as the hash does.
CREATE TABLE patient_split AS
SELECT
    subject_id,
    CASE
        WHEN place <= round(patients * getvariable('train_share')) THEN 'train'
        WHEN place <= round(patients * (getvariable('train_share') + getvariable('validate_share'))) THEN 'validate'
        ELSE 'test'
    END AS split
FROM (
    SELECT
        subject_id,
        row_number() OVER (ORDER BY md5(concat(getvariable('split_seed'), ':', subject_id)), subject_id) AS place,
        count(*) OVER () AS patients
    FROM (SELECT DISTINCT subject_id FROM images)
)
ORDER BY place;
