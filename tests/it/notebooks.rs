//! The committed notebooks hold the cells that the compiler checks (`notebooks/*.rs`), in their order.

use std::path::Path;

/// Lines without indentation and comment marks; a cell's own comments lose theirs on both sides.
fn lines<'a>(text: impl Iterator<Item = &'a str>) -> Vec<String> {
    let bare = text.map(|line| line.trim().trim_start_matches("//").trim().to_owned());
    bare.filter(|line| !line.is_empty() && !line.starts_with("%%")).collect()
}

#[test]
fn cells_are_those_of_the_source() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("notebooks");
    let mut compared = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "ipynb") {
            continue;
        }
        let written: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let sources = written["cells"].as_array().unwrap().iter().map(|cell| match &cell["source"] {
            serde_json::Value::String(text) => text.clone(),
            parts => parts.as_array().unwrap().iter().filter_map(|part| part.as_str()).collect(),
        });
        let cells = sources.collect::<Vec<String>>().join("\n");
        let source = std::fs::read_to_string(path.with_extension("rs")).unwrap();
        let (_, body) = source.split_once("\n    // %%").unwrap();
        let (body, _) = body.rsplit_once("Ok(())").unwrap();
        assert_eq!(
            lines(cells.lines()),
            lines(body.lines().skip(1)),
            "{}: run `python notebooks/run.py`",
            path.display()
        );
        for cell in written["cells"].as_array().unwrap().iter().filter(|cell| cell["cell_type"] == "code") {
            assert!(cell["execution_count"].is_u64(), "{}: a cell was not run: {cell}", path.display());
        }
        compared += 1;
    }
    assert!(compared > 0, "no notebook in {}", folder.display());
}
