-- After gate.sql, where last year's table was renamed: what was in its columns becomes scans.

INSERT INTO tickets (id, holder, event) SELECT id, holder, event FROM tickets_of_version_1;

INSERT INTO scans (ticket, gate, scanned_at)
SELECT id, coalesce(used_gate, 'main'), used_at FROM tickets_of_version_1 WHERE used_at IS NOT NULL ORDER BY used_at;

DROP TABLE tickets_of_version_1;
