//! The command's `apps`, `quota`, `list` and `completions`: what they print, as tables and as JSON.

use insta::assert_snapshot;

use crate::command_support::world;

#[test]
fn apps_are_a_table_or_a_document() {
    let world = world(0);
    assert_snapshot!(world.run(&["apps"]).done(), @"");
    assert_snapshot!(world.run(&["apps", "--json"]).done(), @"");
    assert_snapshot!(world.run(&["apps", "--database"]).done(), @"");
}

#[test]
fn apps_on_a_terminal_fit() {
    let world = world(0);
    for width in [50, 120] {
        let shown = world.terminal(width, &["apps"]).end();
        assert_eq!(shown.wrapped.len(), 0, "{shown:#?}");
        println!("{}", shown.screen);
    }
}
