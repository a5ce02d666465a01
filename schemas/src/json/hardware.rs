//! Raw messages of a device's hardware, as states of entities.

use serde_json::{Map, Value};

use super::members::{InvalidEvent, shorten, wrong};
use crate::Scalar;
use crate::event::Entity;

const GPIO_STATE: &str = "gpio_state_changed";
const PIN_STATE: &str = "pin_state_update";
const TEMPERATURE: &str = "temperature_result";

/// The state that a hardware message reports: of `gpio_pin_<pin>`, `gpio_pin_<pin>_analog` or
/// `temperature`; its source is the type of the message.
///
/// # Errors
/// An unknown type, a pin out of range, or a value of the wrong type.
pub fn hardware_entity(message_type: &str, payload: &Map<String, Value>) -> Result<Entity, InvalidEvent> {
    let (entity_id, value) = match message_type {
        GPIO_STATE => {
            let state = payload.get("state").unwrap_or(&Value::Null);
            if !is_level(state) {
                return Err(wrong("payload.state", "\"high\" or \"low\"", state));
            }
            (format!("gpio_pin_{}", pin(payload)?), state)
        }
        PIN_STATE => {
            let value = payload.get("value").unwrap_or(&Value::Null);
            if !value.is_number() && !is_level(value) {
                return Err(wrong("payload.value", "a number, \"high\" or \"low\"", value));
            }
            (format!("gpio_pin_{}_analog", pin(payload)?), value)
        }
        TEMPERATURE => {
            let celsius = payload.get("celsius").unwrap_or(&Value::Null);
            if !celsius.is_number() {
                return Err(wrong("payload.celsius", "a number", celsius));
            }
            ("temperature".to_owned(), celsius)
        }
        other => {
            let message = format!(
                "\"type\" must be one of {GPIO_STATE}, {PIN_STATE}, {TEMPERATURE}, not {:?}",
                shorten(other)
            );
            return Err(InvalidEvent::at("type", message));
        }
    };
    Ok(Entity {
        entity_id: entity_id.into(),
        value: Scalar::from_json(value),
        source: message_type.into(),
    })
}

fn is_level(value: &Value) -> bool {
    matches!(value.as_str(), Some("high" | "low"))
}

fn pin(payload: &Map<String, Value>) -> Result<u8, InvalidEvent> {
    let pin = payload.get("pin").unwrap_or(&Value::Null);
    let number = pin.as_u64().and_then(|pin| u8::try_from(pin).ok());
    number.ok_or_else(|| wrong("payload.pin", "a whole number from 0 to 255", pin))
}
