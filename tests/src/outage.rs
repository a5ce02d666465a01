//! The outage harness: a whole installation under fire, and the promises checked afterwards.
//!
//! Three brokers, a CQL server, two nodes of each role as processes, clients of both views on both carriers,
//! senders whose every event is known. Processes are killed, frozen, restarted, the connections between them
//! stalled and cut, at random from a seed; then everything that was acknowledged is looked for.
//!
//! | part | holds |
//! |---|---|
//! | [`actions`] | what is done to whom, and when |
//! | [`calm`] | what happens after the storm |
//! | [`checks`] | what must hold afterwards |
//! | [`disturbances`] | when servers are disturbed, which excuses what fails meanwhile |
//! | [`faults`] | a projector's fault points, armed from outside |
//! | [`findings`] | what did not hold, and what was counted |
//! | [`load`] | senders, and the record of what was acknowledged |
//! | [`measure`] | how long each outage lasts, alone |
//! | [`process`] | a node as a process |
//! | [`proxy`] | a connection that can be stalled and cut |
//! | [`run`] | the course of a run |
//! | [`servers`] | brokers and the CQL server |
//! | [`truth`] | what stands in the log |
//! | [`viewers`] | clients of streams |

pub mod actions;
pub mod calm;
pub mod checks;
pub mod disturbances;
pub mod faults;
pub mod findings;
pub mod load;
pub mod measure;
pub mod process;
pub mod proxy;
pub mod run;
pub mod servers;
pub mod truth;
pub mod viewers;
