-- The roles of the example stack. They have no LOGIN: users and programs are members of them.
CREATE ROLE oa_runtime_owner;
CREATE ROLE oa_runtime_rw;
CREATE ROLE oa_spacetime_ro;
CREATE ROLE oa_control_rw;

-- Two roles that the policy does not mention, for the scenarios: a reporting program and a team.
CREATE ROLE reporting LOGIN;
CREATE ROLE contractors;

-- Driftwatch needs only the CONNECT privilege.
CREATE ROLE driftwatch LOGIN;
