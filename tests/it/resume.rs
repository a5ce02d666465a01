//! Resume is exact: clients that are cut and come back at random points, on any of two gateways, end with
//! exactly what they should, while events flow.

use tests::resume::devices::every_client_ends_with_exactly_the_final_documents;
use tests::resume::events::every_client_ends_with_exactly_its_events;
use tests::seed::Seed;

use crate::pair::Pair;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_ends_with_exactly_its_events_however_often_it_is_cut() {
    let pair = Pair::start().await;
    let done = every_client_ends_with_exactly_its_events(&pair.gateways(), Seed::of_test()).await;
    println!("{done}");
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_ends_with_exactly_the_final_documents_however_often_it_is_cut() {
    let pair = Pair::start().await;
    let done = every_client_ends_with_exactly_the_final_documents(&pair.gateways(), Seed::of_test()).await;
    println!("{done}");
    pair.end().await;
}
