use super::*;
pub struct AnthropicMessages;
impl Dialect for AnthropicMessages {
    fn name(&self) -> &'static str {
        unimplemented!()
    }
    fn recognise(&self, _head: &RequestHead) -> Option<Endpoint> {
        unimplemented!()
    }
    fn read_request(&self, _body: &[u8]) -> Result<ModelRequest, Malformed> {
        unimplemented!()
    }
    fn read_answer(&self, _head: &ResponseHead, _body: &[u8]) -> ModelAnswer {
        unimplemented!()
    }
    fn terminal_markers(&self) -> &'static [&'static [u8]] {
        unimplemented!()
    }
    fn edit_request(&self, _body: &[u8], _edits: &[RequestEdit]) -> Result<Bytes, EditError> {
        unimplemented!()
    }
    fn render_answer(
        &self,
        _blocks: &[Block],
        _stop_reason: Option<&str>,
        _model: &str,
        _stream: bool,
    ) -> RenderedAnswer {
        unimplemented!()
    }
    fn render_error(&self, _status: u16, _message: &str) -> Bytes {
        unimplemented!()
    }
}
