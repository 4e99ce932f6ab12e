-- The roles of the runbook. Nobody logs in as one of them: people and programs become their members.
CREATE ROLE oa_runtime_owner;
CREATE ROLE oa_runtime_rw;
CREATE ROLE oa_spacetime_ro;
CREATE ROLE oa_control_rw;

-- Two more of which the policy says nothing, for the scenarios: a program that makes reports, and a team.
CREATE ROLE reporting LOGIN;
CREATE ROLE contractors;

-- Driftwatch itself. It may connect, which is all that it needs.
CREATE ROLE driftwatch LOGIN;
