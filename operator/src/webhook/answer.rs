//! Admission reviews: from the request to the answer.

use kube::api::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, Operation};
use postern_crds::Fault;
use serde_json::Value;

use crate::plan::Review;

/// Answers a review by means of `judge`, which may break; then nothing is let through.
pub(super) async fn to<F>(
    body: AdmissionReview<DynamicObject>,
    judge: impl FnOnce(Value) -> F,
) -> AdmissionReview<DynamicObject>
where
    F: Future<Output = Option<Review>>,
{
    let request: AdmissionRequest<DynamicObject> = match body.try_into() {
        Ok(request) => request,
        Err(error) => return AdmissionResponse::invalid(error).into_review(),
    };
    let response = AdmissionResponse::from(&request);
    let is_write = matches!(request.operation, Operation::Create | Operation::Update);
    let is_whole = request.sub_resource.as_deref().is_none_or(str::is_empty);
    let Some(object) =
        request.object.filter(|object| is_write && is_whole && object.metadata.deletion_timestamp.is_none())
    else {
        return response.into_review();
    };
    let Ok(object) = serde_json::to_value(object) else {
        return response.deny("the object cannot be read").into_review();
    };
    let Some(review) = judge(object).await else {
        return response.deny("the review broke; see the log of the operator").into_review();
    };
    let mut response = response;
    let warnings: Vec<String> = review.warnings.iter().take(MOST_WARNINGS).map(warning).collect();
    response.warnings = (!warnings.is_empty()).then_some(warnings);
    if review.faults.is_empty() {
        return response.into_review();
    }
    let faults: Vec<String> = review.faults.iter().map(Fault::to_string).collect();
    response.deny(faults.join("\n")).into_review()
}

/// Longer warnings are cut by the API server, in the middle of a character if need be.
fn warning(fault: &Fault) -> String {
    let text = fault.to_string();
    if text.chars().count() <= LONGEST_WARNING {
        return text;
    }
    text.chars().take(LONGEST_WARNING).chain(['…']).collect()
}

const MOST_WARNINGS: usize = 20;
const LONGEST_WARNING: usize = 240;

#[cfg(test)]
mod tests {
    use super::*;
    use postern_crds::FaultClass;
    use serde_json::json;

    fn request(operation: &str, object: Value) -> AdmissionReview<DynamicObject> {
        serde_json::from_value(json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "u-1",
                "kind": {"group": "mta.postern.dev", "version": "v1alpha1", "kind": "MtaRoute"},
                "resource": {"group": "mta.postern.dev", "version": "v1alpha1", "resource": "mtaroutes"},
                "name": "a", "namespace": "mail", "operation": operation, "userInfo": {}, "object": object,
            },
        }))
        .unwrap()
    }

    fn route() -> Value {
        json!({"apiVersion": "mta.postern.dev/v1alpha1", "kind": "MtaRoute", "metadata": {"name": "a"}, "spec": {}})
    }

    fn fault(message: &str) -> Fault {
        serde_json::from_value(json!({"class": "own", "path": "spec.type", "message": message})).unwrap()
    }

    async fn answer(body: AdmissionReview<DynamicObject>, review: Option<Review>) -> Value {
        serde_json::to_value(to(body, async |_| review).await).unwrap()["response"].clone()
    }

    #[tokio::test]
    async fn a_sound_object_passes_without_a_word() {
        let answer = answer(request("CREATE", route()), Some(Review::default())).await;
        assert_eq!((&answer["uid"], &answer["allowed"]), (&json!("u-1"), &json!(true)));
        assert!(answer["warnings"].is_null());
    }

    #[tokio::test]
    async fn every_fault_is_in_the_refusal() {
        let review = Review { faults: vec![fault("one"), fault("two")], warnings: Vec::new() };
        let answer = answer(request("UPDATE", route()), Some(review)).await;
        assert_eq!(answer["allowed"], false);
        assert_eq!(answer["status"]["message"], "spec.type: one\nspec.type: two");
    }

    #[tokio::test]
    async fn warnings_come_with_a_permission_and_are_not_too_long() {
        let warnings = vec![Fault { class: FaultClass::Reference, ..fault(&"é".repeat(300)) }; 30];
        let answer = answer(request("CREATE", route()), Some(Review { faults: Vec::new(), warnings })).await;
        assert_eq!(answer["allowed"], true);
        let warnings = answer["warnings"].as_array().unwrap();
        assert_eq!(warnings.len(), 20);
        assert!(warnings.iter().all(|warning| warning.as_str().unwrap().chars().count() <= 256));
    }

    #[tokio::test]
    async fn a_review_that_breaks_lets_nothing_through() {
        assert_eq!(answer(request("CREATE", route()), None).await["allowed"], false);
    }

    #[tokio::test]
    async fn a_deletion_is_not_judged() {
        assert_eq!(answer(request("DELETE", Value::Null), None).await["allowed"], true);
    }
}
