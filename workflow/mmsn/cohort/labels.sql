-- A cell of the label table as 1, 0 or NULL (left out of losses and scores). A blank means 'not mentioned' and counts as
-- 0, as released; -1 means 'uncertain' and becomes what the settings say.
CREATE MACRO label_value(cell) AS
    CASE
        WHEN cell IS NULL THEN CAST(0 AS FLOAT)
        WHEN cell = -1 THEN CAST(getvariable('uncertain_label') AS FLOAT)
        ELSE cell
    END;

ALTER TABLE labels RENAME TO label_rows;

CREATE VIEW labels AS
SELECT study_id, label_value(COLUMNS(* EXCLUDE (study_id, fault)))
FROM label_rows;
