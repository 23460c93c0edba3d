//! The rival: `one_reqwest URL FILE CA_FILE`.

use std::fs::File;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut builder = reqwest::blocking::Client::builder();
    if let Some(ca) = args.get(2).filter(|ca| !ca.is_empty()) {
        builder = builder.add_root_certificate(reqwest::Certificate::from_pem(&std::fs::read(ca).unwrap()).unwrap());
    }
    let mut answer = builder.build().unwrap().get(&args[0]).send().unwrap();
    answer.copy_to(&mut File::create(&args[1]).unwrap()).unwrap();
}
