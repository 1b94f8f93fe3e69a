use super::*;

#[test]
fn pages_go_through_the_whole_list_once() {
    let all = ["a", "b", "c", "d", "e"];
    let mut page = Page {
        limit: Some(2),
        after: None,
    };
    let mut seen: Vec<&str> = Vec::new();
    loop {
        let Paged { items, next } = page
            .of("/v1/things", all.to_vec(), |it| (*it).to_owned())
            .unwrap();
        seen.extend(&items);
        let Some(next) = next else { break };
        let last = items.last().unwrap();
        assert_eq!(
            next,
            format!("</v1/things?limit=2&after={last}>; rel=\"next\"")
        );
        page.after = Some((*last).to_owned());
    }
    assert_eq!(seen, all);
    let refused = |limit, after: Option<&str>| {
        let page = Page {
            limit,
            after: after.map(str::to_owned),
        };
        page.of("/", all.to_vec(), |it| (*it).to_owned()).is_err()
    };
    let first = Page::new(Some(1), None);
    let first = first.of("/v1/things?open=true", all.to_vec(), |it| (*it).to_owned());
    let next = first.unwrap().next.unwrap();
    assert_eq!(next, "</v1/things?open=true&limit=1&after=a>; rel=\"next\"");
    assert!(refused(Some(0), None) && refused(Some(1001), None) && refused(None, Some("f")));
}
