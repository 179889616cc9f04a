-- A split of the user's own, read through the patients: one who is given two splits has two rows here, which stops the
-- run, and one who is given none has a row without a split, which does so too.
CREATE TABLE patient_split AS
SELECT DISTINCT images.subject_id, listed.split
FROM (SELECT DISTINCT subject_id FROM images) AS images
LEFT JOIN listed USING (subject_id);
